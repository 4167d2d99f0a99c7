"""Benchmarks of the engine under the workload that other engines are measured with."""
