"""What tests of several themes share: random programs, stand-ins, judges."""
