"""Tables, pictures and facts about the machine, for the reports of evaluation and benchmarks."""
