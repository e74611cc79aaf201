//! lbd as a whole: its engine with a fake kernel, and the program over its socket.

mod acme;
mod certificates;
mod checks;
mod damage;
mod kill;
mod layer7;
mod life;
mod ocsp;
mod pair;
mod pebble;
mod rig;
mod socket;
