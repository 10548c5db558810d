"""Part 5: pictures from noise: paths, solvers, guidance, and what tells a good picture from a bad one."""
