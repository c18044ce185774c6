# %% exercise="10.1"
processes = 3 + 2
check("10.1", processes)

# %% exercise="10.2"
after_the_kill = 1
check("10.2", after_the_kill)

# %% exercise="10.3"
driver_can = 2
check("10.3", driver_can)

# %% exercise="10.4"
published = 0
check("10.4", published)

# %% exercise="10.5"
disks = 2
check("10.5", disks)
