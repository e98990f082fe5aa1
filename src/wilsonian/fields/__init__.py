"""LATTICE: coarse graining of fields as a noisy channel, inference as its inverse, and samplers
with a certificate.

A theory draws fields by hybrid Monte Carlo; a `Channel` coarse grains them; an `InverseFlow` goes
back, with exact weights, and certifies what it drew. The formulas are in docs/science/exact-rg.md.
"""

from wilsonian.fields.actions import AbstractFieldTheory, AbstractSiteTheory
from wilsonian.fields.bayesian_flow import (
    BernoulliInference,
    GaussianInference,
    GridInference,
    PoissonInference,
)
from wilsonian.fields.certificate import Certificate, certify, check_ensemble
from wilsonian.fields.channel import Channel, ChannelKernel
from wilsonian.fields.couplings import Couplings, coupling_flow
from wilsonian.fields.ensemble_files import (
    EnsembleWriter,
    export_hdf5,
    export_npz,
    from_xarray,
    import_coarse,
    import_hdf5,
    import_npz,
    load_ensemble,
    save_ensemble,
    to_xarray,
)
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.exact_flow import ScalarFlow
from wilsonian.fields.hmc import HmcSettings, thermalisation
from wilsonian.fields.inference_backwards import Erasure, localise
from wilsonian.fields.inverse_flow import InverseFlow
from wilsonian.fields.lattice import momenta_squared, power_spectrum
from wilsonian.fields.refinement import Refinement, decimate
from wilsonian.fields.scalar_law import ScalarLaw, double_well
from wilsonian.fields.theories import EvenPolynomial, FreeField, Phi4, UserTheory
from wilsonian.fields.transfer_matrix import ExactMoments, exact_moments
from wilsonian.fields.weights import independence_metropolis, summarize_weights

__all__ = [
    "AbstractFieldTheory",
    "AbstractSiteTheory",
    "BernoulliInference",
    "Certificate",
    "Channel",
    "ChannelKernel",
    "Couplings",
    "Ensemble",
    "EnsembleWriter",
    "Erasure",
    "EvenPolynomial",
    "ExactMoments",
    "FreeField",
    "GaussianInference",
    "GridInference",
    "HmcSettings",
    "InverseFlow",
    "Phi4",
    "PoissonInference",
    "Refinement",
    "ScalarFlow",
    "ScalarLaw",
    "UserTheory",
    "certify",
    "check_ensemble",
    "coupling_flow",
    "decimate",
    "double_well",
    "exact_moments",
    "export_hdf5",
    "export_npz",
    "from_xarray",
    "import_coarse",
    "import_hdf5",
    "import_npz",
    "independence_metropolis",
    "load_ensemble",
    "localise",
    "momenta_squared",
    "power_spectrum",
    "save_ensemble",
    "summarize_weights",
    "thermalisation",
    "to_xarray",
]
