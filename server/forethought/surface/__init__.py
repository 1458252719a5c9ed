"""MCP in, MCP out, nothing else."""
