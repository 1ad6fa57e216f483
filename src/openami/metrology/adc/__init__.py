"""Metering from samples of a converter: front ends, calibration, measurement, energy, quality.

Arrays are of many meters at once. Samples have the shape (2, meters, phases, samples), volts before
amperes; what is measured has (meters, phases).
"""
