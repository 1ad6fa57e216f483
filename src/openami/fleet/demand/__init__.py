"""Demand response in the terms of OpenADR 3: programs, events, intervals, payloads, reports."""
