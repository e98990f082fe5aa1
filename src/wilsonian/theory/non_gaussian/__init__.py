"""Beyond Gaussian features: their cumulants, ridges that vary, and when it matters."""
