-- Which host this environment was made for: a key of VERSIONS in sandbox/lua.py.
return 4
