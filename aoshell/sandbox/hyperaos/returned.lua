-- In the place of the environment's own: a device has no field beside the output of a result.
return function() end
