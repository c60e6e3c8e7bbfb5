"""For those who watch a model that learns: its log, its way back, its challengers, its alarms."""
