"""One port: connections, requests as values, who may ask, and under which bounds."""
