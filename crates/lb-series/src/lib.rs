//! What was measured, in bounded files.
#![forbid(unsafe_code)]
