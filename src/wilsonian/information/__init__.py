"""Fisher information of trained networks: what the data determined, cutoffs, and their price."""

from wilsonian.information.at_cost import AtCost
from wilsonian.information.computing import spectrum
from wilsonian.information.descent import descent_cut
from wilsonian.information.fisher_spectrum import FisherSpectrum
from wilsonian.information.free_scalar import (
    TorusField,
    fourth_cumulant,
    information_shell,
    kernel_spread,
    torus_field,
)
from wilsonian.information.halves import SplitHalves, split_halves
from wilsonian.information.kernel_information import KernelInformation, kernel_information
from wilsonian.information.likelihoods import AbstractLikelihood, Regression, Softmax
from wilsonian.information.price_list import HeldOutPrices, PriceList
from wilsonian.information.prior import Prior
from wilsonian.information.products import count_products
from wilsonian.information.pruning import Pruned, prune
from wilsonian.information.routes import Plan, plan
from wilsonian.information.stochastic_counts import Counts, counts
from wilsonian.information.torch_modules import from_torch
from wilsonian.information.trained_network import TrainedNetwork, network
from wilsonian.information.validity import diagnostics

__all__ = [
    "AbstractLikelihood",
    "AtCost",
    "Counts",
    "FisherSpectrum",
    "HeldOutPrices",
    "KernelInformation",
    "Plan",
    "PriceList",
    "Prior",
    "Pruned",
    "Regression",
    "Softmax",
    "SplitHalves",
    "TorusField",
    "TrainedNetwork",
    "count_products",
    "counts",
    "descent_cut",
    "diagnostics",
    "fourth_cumulant",
    "from_torch",
    "information_shell",
    "kernel_information",
    "kernel_spread",
    "network",
    "plan",
    "prune",
    "spectrum",
    "split_halves",
    "torus_field",
]
