//! Is this real server fit: probe schedules, rise and fall, what a reply means.
