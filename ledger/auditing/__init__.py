"""How an audit works: entries examined side by side in processes, and folded in order in this one."""
