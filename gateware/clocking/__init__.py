"""Where the machine's clock and the array's, which is twice as fast, meet: nothing else has registers of both."""
