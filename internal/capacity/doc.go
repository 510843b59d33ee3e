// Package capacity counts what tasks reserve and what instances have: CPU units, memory and ports.
package capacity
