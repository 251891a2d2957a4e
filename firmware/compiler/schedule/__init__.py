"""From operations to a program: which operation waits for which, and how long everything takes."""
