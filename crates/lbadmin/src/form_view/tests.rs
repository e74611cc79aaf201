use super::*;
use crate::forms::{Edit, Posted, RealServerForm, Refused, VirtualServerForm};
use lb_model::{Config, sample};

fn config() -> Config {
    (0..).map(|seed| sample::config(seed, false)).find(|c| c.virtual_server("VIP0").is_some()).expect("a sample")
}

/// Golden text of the guide's form with errors in it.
#[test]
fn the_guides_form_is_rendered_with_its_errors() {
    let config = config();
    let posted: Posted = [("seen", "new"), ("label", "Web Server"), ("address", "<script>"), ("weight", "1")]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .into_iter()
        .collect();
    let Err(Refused::Wrong(form)) = RealServerForm::add("VIP0").read(&config, &posted) else { panic!("refused") };
    let text = FormView { form: &form, action: "/lbadmin/edit/real-servers/VIP0/add", csrf: "TOKEN" }
        .render()
        .expect("rendering");
    crate::forms::golden("real-server-wrong.html", &text);
    assert!(!text.contains("<script"), "what was typed is escaped");
    assert!(!text.contains("style="), "no inline style");
}

/// Each field has a label, a help link and ids that exist.
#[test]
fn every_field_is_labelled_and_described() {
    let form = VirtualServerForm::add().form(&config()).expect("a form");
    let text = FormView { form: &form, action: "/x", csrf: "TOKEN" }.render().expect("rendering");
    for field in form.fields() {
        assert!(text.contains(&format!("<label for=\"f-{0}\">", field.name)), "{}", field.name);
        assert!(text.contains(&format!(" id=\"f-{0}\"", field.name)), "{}", field.name);
        assert!(text.contains(&format!("href=\"/lbadmin/help/field/{}\"", field.help)), "{}", field.name);
    }
    for ids in text.split("aria-describedby=\"").skip(1) {
        for id in ids.split('"').next().unwrap_or_default().split(' ') {
            assert!(text.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
    assert!(text.contains("<button type=\"submit\">Update</button>"));
}
