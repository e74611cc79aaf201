//! lbd as a whole: its engine with a fake kernel, and the program over its socket.

mod certificates;
mod checks;
mod damage;
mod kill;
mod layer7;
mod life;
mod pair;
mod rig;
mod socket;
