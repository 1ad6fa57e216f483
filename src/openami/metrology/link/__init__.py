"""The serial line between a meter's measuring part and its management: UART, SPI or I²C.

Energy goes over it as running totals, never as what was added: whatever is lost on the line, or
while management is off, the next report makes good.
"""
