//! What the laptop takes from the template: the routes, and the table.

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata as _,
    operation::create_table::builders::CreateTableFluentBuilder,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    },
};
use saphyr::{LoadableYamlNode as _, Yaml};

use crate::StartError;

/// The template that is deployed.
pub const TEXT: &str = include_str!("../../template.yaml");

/// One route of the API and the function that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRoute {
    /// `POST`, `GET` or `DELETE`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The function's package: `login` for `LoginFunction`.
    pub function: String,
}

fn wrong(what: &str) -> StartError {
    StartError::Template(what.to_owned())
}

fn text<'a>(node: &'a Yaml<'_>, member: &str) -> Result<&'a str, StartError> {
    node.as_mapping_get(member).and_then(Yaml::as_str).ok_or_else(|| wrong(member))
}

fn list<'a, 'b>(node: &'a Yaml<'b>, member: &str) -> Result<&'a [Yaml<'b>], StartError> {
    node.as_mapping_get(member).and_then(Yaml::as_sequence).map(Vec::as_slice).ok_or_else(|| wrong(member))
}

/// The routes of all functions in a template.
pub fn routes(template: &str) -> Result<Vec<TemplateRoute>, StartError> {
    let documents = Yaml::load_from_str(template).map_err(|_| wrong("it is no YAML"))?;
    let resources = documents.first().and_then(|root| root.as_mapping_get("Resources")).and_then(Yaml::as_mapping);
    let mut routes = Vec::new();
    for (name, resource) in resources.ok_or_else(|| wrong("Resources"))? {
        let Some(function) = name.as_str().and_then(|name| name.strip_suffix("Function")) else {
            continue;
        };
        let events = resource.as_mapping_get("Properties").and_then(|properties| properties.as_mapping_get("Events"));
        for event in events.and_then(Yaml::as_mapping).into_iter().flat_map(|events| events.values()) {
            if text(event, "Type")? == "HttpApi" {
                let properties = event.as_mapping_get("Properties").ok_or_else(|| wrong("Properties"))?;
                routes.push(TemplateRoute {
                    method: text(properties, "Method")?.to_ascii_uppercase(),
                    path: text(properties, "Path")?.to_owned(),
                    function: function.to_ascii_lowercase(),
                });
            }
        }
    }
    Ok(routes)
}

/// Makes the table as the template describes it, unless it is there.
pub async fn create_table(client: &Client, name: &str, template: &str) -> Result<(), StartError> {
    let documents = Yaml::load_from_str(template).map_err(|_| wrong("it is no YAML"))?;
    let properties = documents
        .first()
        .and_then(|root| root.as_mapping_get("Resources"))
        .and_then(|resources| resources.as_mapping_get("Table"))
        .and_then(|table| table.as_mapping_get("Properties"))
        .ok_or_else(|| wrong("Table"))?;
    match described(client.create_table().table_name(name), properties)?.send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceInUseException") => return Ok(()),
        Err(_) => return Err(StartError::Table),
    }
    let ttl = properties.as_mapping_get("TimeToLiveSpecification").ok_or_else(|| wrong("TimeToLiveSpecification"))?;
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(text(ttl, "AttributeName")?).build();
    let ttl = ttl.map_err(|_| wrong("TimeToLiveSpecification"))?;
    let made = client.update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await;
    made.map(drop).map_err(|_| StartError::Table)
}

fn described(
    mut request: CreateTableFluentBuilder,
    properties: &Yaml<'_>,
) -> Result<CreateTableFluentBuilder, StartError> {
    request = request.billing_mode(BillingMode::PayPerRequest);
    for key in list(properties, "KeySchema")? {
        let element = KeySchemaElement::builder()
            .attribute_name(text(key, "AttributeName")?)
            .key_type(KeyType::from(text(key, "KeyType")?))
            .build();
        request = request.key_schema(element.map_err(|_| wrong("KeySchema"))?);
    }
    for attribute in list(properties, "AttributeDefinitions")? {
        let definition = AttributeDefinition::builder()
            .attribute_name(text(attribute, "AttributeName")?)
            .attribute_type(ScalarAttributeType::from(text(attribute, "AttributeType")?))
            .build();
        request = request.attribute_definitions(definition.map_err(|_| wrong("AttributeDefinitions"))?);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_come_from_the_events_of_functions() {
        let template = "
Resources:
  Table: {Type: 'AWS::DynamoDB::Table'}
  LoginFunction:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {WXAUTH_TABLE: !Ref Table}}
      Events:
        Login: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: post, Path: /v1/login}}
        Other: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
";
        let login =
            TemplateRoute { method: "POST".to_owned(), path: "/v1/login".to_owned(), function: "login".to_owned() };

        assert_eq!(routes(template).unwrap(), [login]);
        assert!(routes("Resources: 1").is_err());
    }
}
