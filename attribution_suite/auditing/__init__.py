"""An audit: from its spec to chunks of work, a store of what is done, tables and the record of the run."""
