package term

import "github.com/ksmtop/ksmtop/cmd/ksmtop/internal/view"

// SetPalette changes the styles of the roles. It is called on Run's goroutine,
// with a palette made for the Depth that Open was given.
func (l *Loop) SetPalette(p *view.Palette) { l.screen.setPalette(p) }

func (sc *screen) setPalette(p *view.Palette) {
	for i := range sc.styles {
		sc.styles[i] = sc.styles[i][:0]
		for r := range p {
			sc.styles[i] = append(sc.styles[i], tcellStyle(p.Style(view.Role(r), i == 1)))
		}
	}
}
