package assembly

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// toJSON returns a template in JSON. Text that does not begin with "{" is YAML, with the short forms of
// intrinsic functions, as in !Ref and !Sub. As in CloudFormation, a date is a text, and there are no aliases and
// no merged maps.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
func toJSON(text []byte) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		return text, nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, errors.New("the file is empty")
	}
	value, err := plainValue(document.Content[0])
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// plainValue is a node of YAML as encoding/json would decode it. A short form is its function, written out.
func plainValue(node *yaml.Node) (value any, err error) {
	switch node.Kind {
	case yaml.AliasNode:
		return nil, fmt.Errorf("yaml: line %d: CloudFormation takes no aliases, such as *%s", node.Line, node.Value)
	case yaml.SequenceNode:
		list := []any{}
		for _, element := range node.Content {
			one, err := plainValue(element)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		value = list
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			switch _, twice := object[key.Value]; {
			case key.Kind != yaml.ScalarNode, key.ShortTag() == "!!merge":
				return nil, fmt.Errorf("yaml: line %d: CloudFormation takes only texts as keys, and merges no maps", key.Line)
			case twice:
				return nil, fmt.Errorf("yaml: line %d: %q is there twice", key.Line, key.Value)
			}
			if object[key.Value], err = plainValue(node.Content[i+1]); err != nil {
				return nil, err
			}
		}
		value = object
	default:
		switch node.ShortTag() {
		case "!!int", "!!float", "!!bool", "!!null":
			if err := node.Decode(&value); err != nil {
				return nil, err
			}
		default:
			value = node.Value
		}
	}
	short, isShort := strings.CutPrefix(node.Tag, "!")
	if !isShort || strings.HasPrefix(short, "!") {
		return value, nil
	}
	name := "Fn::" + short
	switch short {
	case "Ref", "Condition":
		name = short
	case "GetAtt":
		if id, attribute := attributeOf(value); attribute != "" {
			value = []any{id, attribute}
		}
	}
	return map[string]any{name: value}, nil
}
