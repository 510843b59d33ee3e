package controls
import ("testing";"fmt";"cutover/internal/model";"cutover/internal/assembly")
func TestZZ(t *testing.T) {
	a, err := assembly.Read("/tmp/w/analyses-asm")
	if err != nil { t.Fatal(err) }
	m := model.Read(a)
	fmt.Println(Unlisted(m))
	for _, c := range All { if f := c.Check(m); len(f)>0 { fmt.Println(c.ID, c.Setting, f) } }
}
