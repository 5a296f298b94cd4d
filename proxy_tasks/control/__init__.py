"""Control of small mechanical systems that are simulated here."""
