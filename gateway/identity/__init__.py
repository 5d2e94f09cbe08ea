"""Who is asking, and the proof of it.

`passwords` and `sign_in` turn a name and a password into a session; `second_factor` sets up
authenticators and checks codes; `step_up` keeps challenges and the requests parked behind them.
"""
