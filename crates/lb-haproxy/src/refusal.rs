//! What `haproxy -c` complains of, at the field that caused it.
