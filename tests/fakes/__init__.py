"""Fakes of what podsupd talks to, at wire level, fed from recorded answers of the real thing."""
