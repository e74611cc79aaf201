//! From what should be and what is to what must be done.
