"""What running the lab needs beyond Ansible tasks: building, status, reports, benchmarks."""
