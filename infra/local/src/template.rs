//! The parts of the SAM template that the laptop uses: the routes and the table.

use std::sync::LazyLock;

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata as _,
    operation::create_table::builders::CreateTableFluentBuilder,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    },
};
use saphyr::{LoadableYamlNode as _, Yaml};

use crate::error::StartError;

pub const TEXT: &str = include_str!("../../template.yaml");

/// Read once in a process: read at each start, it was a quarter of what the tests did without optimizations.
static TEMPLATE: LazyLock<Option<Yaml<'static>>> = LazyLock::new(|| parse(TEXT));

/// One route of the API and the function that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateRoute {
    pub method: String,
    pub path: String,
    /// The function's package: `login` for `LoginFunction`.
    pub function: String,
}

/// The routes of all functions in the template.
pub fn routes() -> Result<Vec<TemplateRoute>, StartError> {
    routes_in(template()?)
}

fn routes_in(template: &Yaml<'_>) -> Result<Vec<TemplateRoute>, StartError> {
    let resources = member(template, "Resources")?.as_mapping().ok_or_else(|| wrong("Resources"))?;
    let mut routes = Vec::new();
    for (name, resource) in resources {
        let Some(function) = name.as_str().and_then(|name| name.strip_suffix("Function")) else {
            continue;
        };
        let events = resource.as_mapping_get("Properties").and_then(|properties| properties.as_mapping_get("Events"));
        for event in events.and_then(Yaml::as_mapping).into_iter().flat_map(|events| events.values()) {
            if text(event, "Type")? == "HttpApi" {
                let properties = member(event, "Properties")?;
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

/// Makes the table as the template describes it, unless it exists.
pub async fn create_table(client: &Client, name: &str) -> Result<(), StartError> {
    let properties = member(member(member(template()?, "Resources")?, "Table")?, "Properties")?;
    match with_keys(client.create_table().table_name(name), properties)?.send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceInUseException") => return Ok(()),
        Err(_) => return Err(StartError::Table),
    }
    let attribute = text(member(properties, "TimeToLiveSpecification")?, "AttributeName")?;
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build();
    let ttl = ttl.map_err(|_| wrong("TimeToLiveSpecification"))?;
    let updated = client.update_time_to_live().table_name(name).time_to_live_specification(ttl).send().await;
    updated.map(drop).map_err(|_| StartError::Table)
}

fn with_keys(
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

fn template() -> Result<&'static Yaml<'static>, StartError> {
    TEMPLATE.as_ref().ok_or_else(|| wrong("it is no YAML"))
}

fn parse(template: &str) -> Option<Yaml<'_>> {
    Yaml::load_from_str(template).ok()?.into_iter().next()
}

fn member<'a, 'b>(node: &'a Yaml<'b>, name: &str) -> Result<&'a Yaml<'b>, StartError> {
    node.as_mapping_get(name).ok_or_else(|| wrong(name))
}

fn text<'a>(node: &'a Yaml<'_>, name: &str) -> Result<&'a str, StartError> {
    member(node, name)?.as_str().ok_or_else(|| wrong(name))
}

fn list<'a, 'b>(node: &'a Yaml<'b>, name: &str) -> Result<&'a [Yaml<'b>], StartError> {
    member(node, name)?.as_sequence().map(Vec::as_slice).ok_or_else(|| wrong(name))
}

fn wrong(what: &str) -> StartError {
    StartError::Template(what.to_owned())
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

        assert_eq!(routes_in(&parse(template).unwrap()).unwrap(), [login]);
        assert!(routes_in(&parse("Resources: 1").unwrap()).is_err());
    }
}
