"""The inverse flow by decimation: geometry, features, concave fits, exact sites, weights."""
