//! The forms: what is typed in them, and what becomes of it in the configuration. Pure.
