"""The machine: programs as data, run by one loop that is compiled once for all of them."""
