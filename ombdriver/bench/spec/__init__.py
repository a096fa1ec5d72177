"""What a user writes: workload and setup files, options that override them, sweeps."""
