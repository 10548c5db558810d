"""The museum of broken trainers: classic faults as switches, small runs that show them, and who names them."""
