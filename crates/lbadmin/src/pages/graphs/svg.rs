//! A graph as SVG, for browsers without JavaScript. No style attribute and no script: the policy allows neither.

use super::Line;
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 150.0;
/// Lines differ by dashes, not by colour alone.
const DASHES: [&str; 4] = ["none", "6 3", "2 3", "10 4"];

/// Safe HTML; empty when there is nothing to draw. `text` gives the scale its words.
pub fn draw(lines: &[Line], title: &str, text: impl Fn(f64) -> String) -> String {
    let highest = lines.iter().flat_map(|l| l.values.iter().flatten()).copied().fold(0.0, f64::max);
    let steps = lines.iter().map(|l| l.values.len()).max().unwrap_or(0);
    if lines.iter().all(|l| l.values.iter().all(Option::is_none)) || steps < 2 {
        return String::new();
    }
    let scale = if highest > 0.0 { highest } else { 1.0 };
    // Shown at half this width and less: letters are large.
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {h}\" width=\"100%\" role=\"img\" aria-label=\"{title}\">\
         <path d=\"M0 {HEIGHT}H{WIDTH}M0 0.5H{WIDTH}\" stroke=\"currentColor\" stroke-opacity=\"0.3\"/>\
         <text x=\"2\" y=\"20\" font-size=\"18\" fill=\"currentColor\">{top}</text>\
         <text x=\"2\" y=\"{below}\" font-size=\"18\" fill=\"currentColor\">{keys}</text>",
        h = HEIGHT + 26.0,
        below = HEIGHT + 20.0,
        title = escaped(title),
        top = escaped(&text(scale)),
        keys = escaped(&legend(lines)),
    );
    for (i, line) in lines.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<path d=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.3\" stroke-dasharray=\"{}\"/>",
            path(&line.values, steps, scale),
            DASHES[i % DASHES.len()],
        );
    }
    svg.push_str("</svg>");
    svg
}

fn legend(lines: &[Line]) -> String {
    let names = ["solid", "dashed", "dotted", "long dashes"];
    let keys: Vec<String> =
        lines.iter().enumerate().map(|(i, l)| format!("{}: {}", names[i % names.len()], l.label)).collect();
    keys.join(" · ")
}

/// A gap ends the line; a value alone is a dot.
fn path(values: &[Option<f64>], steps: usize, scale: f64) -> String {
    let mut d = String::new();
    let mut drawing = false;
    for (i, value) in values.iter().enumerate() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let (x, y) = (i as f64 / (steps - 1) as f64 * WIDTH, HEIGHT - value / scale * (HEIGHT - 4.0));
        let alone = !drawing && values.get(i + 1).copied().flatten().is_none();
        let _ = match (drawing, alone) {
            (true, _) => write!(d, "L{x:.0} {y:.1}"),
            (false, true) => write!(d, "M{x:.0} {y:.1}h1"),
            (false, false) => write!(d, "M{x:.0} {y:.1}"),
        };
        drawing = true;
    }
    d
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_gaps() {
        let values = [Some(0.0), Some(10.0), None, Some(5.0), None];
        assert_eq!(path(&values, 5, 10.0), "M0 150.0L180 4.0M540 77.0h1");
    }

    #[test]
    fn labels_are_escaped_and_nothing_is_no_picture() {
        let line = |values| Line { label: "<b>\"&".into(), values };
        let svg = draw(&[line(vec![Some(1.0), Some(2.0)])], "<i>", |v| format!("{v} <"));
        assert!(svg.contains("&lt;b&gt;&quot;&amp;") && svg.contains("2 &lt;") && !svg.contains("<i>"), "{svg}");
        assert!(!svg.contains("style"));
        assert_eq!(draw(&[line(vec![None, None])], "", |_| String::new()), "");
        assert_eq!(draw(&[], "", |_| String::new()), "");
    }
}
