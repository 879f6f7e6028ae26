//! Everything an operator may write: raw shapes with places, defaults, resolution, and the list of problems.
