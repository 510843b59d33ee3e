package rehearsal

import (
	"cmp"
	"math"
	"slices"
)

// place moves labels apart: each is given the first row in which it touches no
// other, and stays within the plot. It returns the left edges and the rows, -1
// for those that find no place in the rows there are.
func place(centers, widths []float64, rows int, from, to float64) (left []float64, row []int) {
	const gap = 8
	ends := make([]float64, rows)
	for i := range ends {
		ends[i] = math.Inf(-1)
	}
	order := make([]int, len(centers))
	left, row = make([]float64, len(centers)), make([]int, len(centers))
	for i := range order {
		order[i] = i
		left[i] = max(from, min(centers[i]-widths[i]/2, to-widths[i]))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(left[a], left[b]) })
	for _, i := range order {
		row[i] = slices.IndexFunc(ends, func(end float64) bool { return left[i] >= end })
		if row[i] >= 0 {
			ends[row[i]] = left[i] + widths[i] + gap
		}
	}
	return left, row
}

func rowsUsed(rows []int) int {
	used := 0
	for _, row := range rows {
		used = max(used, row+1)
	}
	return used
}
