"""LATTICE"""
