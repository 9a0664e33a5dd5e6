//! The checker is proven first: what is wrong is rejected, what a real object did is accepted, and
//! on small histories it agrees with trying every order.

mod brute;
mod facts;
mod random;
