//! Each integration as a small machine from notification to outcome.
