-- In forks of HyperBEAM's processes another module stands in place of this one (sandbox/luerl): how a
-- node of HyperBEAM calls a process.
return false
