// Feed is a placeholder.
package main

func main() {}
