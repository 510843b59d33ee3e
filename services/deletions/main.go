// Deletions is a placeholder.
package main

func main() {}
