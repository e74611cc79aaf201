//! The only hands on the kernel: observe and execute.
