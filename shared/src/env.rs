//! The environment of a function: the only file that reads it, and the only one that builds clients.
//!
//! A function asks for what it needs. Nothing else is read, connected or required.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient,
    retry::{RetryConfig, RetryPartition},
    timeout::TimeoutConfig,
};
use rustls::pki_types::CertificateDer;
use url::Url;

use crate::{
    authenticator::Authenticator,
    brake::Brake,
    clock::{Clock, SystemClock},
    config,
    entropy::{Entropy, OsEntropy},
    http::{proxy::TrustedProxy, record::Log},
    owner_function::{AskOwner, FunctionAddress, LambdaFunction},
    platform_token::{PlatformTokens, TokenCache},
    secrets::{
        FromSecret, ManagedSecret, ReadSecret, Secret, SecretFile,
        key_rotation::{SecretsManager, WrittenSecret},
    },
    session::refresh::RefreshPolicy,
    store::dynamo::DynamoTable,
    tls,
    token::{
        access::{AccessSigner, AccessTokenConfig},
        jwks::{KeyKind, PublicJwks},
        keyring::Keyring,
    },
    vars::{ConfigError, Vars},
    wechat::{app::Apps, client::HttpWechat, push::PushApps},
};

/// Everything that a function may be given.
#[derive(Clone)]
pub struct Env {
    vars: Vars,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    log: Log,
    /// The certificates of `SSL_CERT_FILE`. The WeChat client trusts them in addition to the compiled-in roots. The AWS client
    /// reads the same file instead of the machine's roots, as every program does that honours this variable.
    roots: Vec<CertificateDer<'static>>,
    /// Shared by all AWS clients: the machine's TLS roots load once.
    aws_http: SharedHttpClient,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Env({:?})", self.vars)
    }
}

impl Env {
    /// The environment of this process, the machine's clock and randomness, standard output.
    pub fn from_process() -> Result<Self, ConfigError> {
        let vars: Vars = Self::process_vars()?.into_iter().collect();
        let log = match vars.get("AWS_LAMBDA_FUNCTION_NAME") {
            Some(name) => Log::stdout().of_function(name),
            None => Log::stdout(),
        };
        Self::new(vars, Arc::new(SystemClock), Arc::new(OsEntropy), log)
    }

    /// The variables of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn process_vars() -> Result<Vec<(String, String)>, ConfigError> {
        let mut vars = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            match value.into_string() {
                Ok(value) => vars.push((name.to_owned(), value)),
                Err(_) if name.starts_with("WXAUTH_") => return Err(ConfigError::new(name, "text in UTF-8")),
                Err(_) => {}
            }
        }
        Ok(vars)
    }

    /// An environment of these variables, with this clock, randomness and log.
    pub fn new(vars: Vars, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>, log: Log) -> Result<Self, ConfigError> {
        let roots = tls::extra_roots(&vars)?;
        let provider = aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::AwsLc,
        );
        let aws_http = aws_smithy_http_client::Builder::new().tls_provider(provider).build_https();
        Ok(Self { vars, clock, entropy, log, roots, aws_http })
    }

    /// Tells the time for everything that is built here.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Randomness for everything that is built here.
    #[must_use]
    pub fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::clone(&self.entropy)
    }

    /// Where log lines are written.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// How access tokens are filled in.
    pub fn access_token_config(&self) -> Result<AccessTokenConfig, ConfigError> {
        AccessTokenConfig::from_vars(&self.vars)
    }

    /// The times that decide what a refresh does.
    pub fn refresh_policy(&self) -> Result<RefreshPolicy, ConfigError> {
        RefreshPolicy::from_vars(&self.vars)
    }

    /// The table that `WXAUTH_TABLE` names.
    pub fn table(&self) -> Result<Arc<DynamoTable>, ConfigError> {
        let (client, name) = self.dynamodb()?;
        Ok(Arc::new(DynamoTable::new(client, name)))
    }

    /// The client for the table, and the table's name.
    pub fn dynamodb(&self) -> Result<(aws_sdk_dynamodb::Client, String), ConfigError> {
        let table = config::table(&self.vars)?;
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(self.region()?)
            .credentials_provider(self.credentials()?)
            .http_client(self.aws_http.clone())
            .retry_config(retries())
            .retry_partition(budget())
            .timeout_config(timeouts(Duration::from_millis(800), Duration::from_millis(2_500)));
        config.set_endpoint_url(self.endpoint("AWS_ENDPOINT_URL_DYNAMODB")?);
        Ok((aws_sdk_dynamodb::Client::from_conf(config.build()), table))
    }

    /// How many charged codes an unknown address may owe; 0 is without limit.
    pub fn login_refusals(&self) -> Result<u64, ConfigError> {
        config::login_refusals(&self.vars)
    }

    /// WeChat's server API.
    pub fn wechat(&self) -> Result<Arc<HttpWechat>, ConfigError> {
        let base = config::wechat_url(&self.vars)?;
        Ok(Arc::new(HttpWechat::new(base, &self.roots)?))
    }

    /// WeChat's server API for calls that need its `access_token`, which is kept in the table, sealed.
    pub fn platform_tokens(
        &self,
        table: &Arc<DynamoTable>,
        keyring: &Arc<Secret<Keyring>>,
    ) -> Result<Arc<PlatformTokens>, ConfigError> {
        Ok(Arc::new(PlatformTokens {
            wechat: self.wechat()?,
            table: table.clone(),
            keyring: Arc::clone(keyring),
            clock: self.clock(),
            entropy: self.entropy(),
            cache: TokenCache::default(),
        }))
    }

    /// Whether WeChat is asked if encrypted phone data is its own.
    pub fn phone_data_check(&self) -> Result<bool, ConfigError> {
        config::phone_data_check(&self.vars)
    }

    /// The mini programs, from the secret that `WXAUTH_APPS` names.
    pub async fn apps(&self) -> Result<Arc<Secret<Apps>>, ConfigError> {
        self.secret("WXAUTH_APPS").await
    }

    /// What pushes are verified and decrypted with, from the secret that `WXAUTH_PUSH` names.
    pub async fn push_apps(&self) -> Result<Arc<Secret<PushApps>>, ConfigError> {
        self.secret("WXAUTH_PUSH").await
    }

    /// The owner's function that `WXAUTH_PUSH_TARGET` names, if it is set.
    pub fn push_target(&self) -> Result<Option<Arc<dyn AskOwner>>, ConfigError> {
        let Some(function) = config::push_target(&self.vars)? else { return Ok(None) };
        let (region, endpoint) = (self.region()?, self.endpoint("AWS_ENDPOINT_URL_LAMBDA")?);
        let address = FunctionAddress { function, region: region.as_ref(), endpoint: endpoint.as_deref() };
        Ok(Some(Arc::new(LambdaFunction::new(&address, self.role()?, &self.roots)?)))
    }

    /// The keyring, from the secret that `WXAUTH_KEYRING` names.
    pub async fn keyring(&self) -> Result<Arc<Secret<Keyring>>, ConfigError> {
        self.secret("WXAUTH_KEYRING").await
    }

    /// The proxy in front of the API, from the secret that `WXAUTH_PROXY` names, if it is set.
    pub async fn proxy(&self) -> Result<Option<Arc<Secret<TrustedProxy>>>, ConfigError> {
        match self.vars.get("WXAUTH_PROXY") {
            Some(_) => self.secret("WXAUTH_PROXY").await.map(Some),
            None => Ok(None),
        }
    }

    /// The emergency brake: `WXAUTH_NOT_BEFORE`, and the secret that `WXAUTH_BRAKE` names, if it is set.
    pub async fn brake(&self) -> Result<Brake, ConfigError> {
        let pulled = match self.vars.get("WXAUTH_BRAKE") {
            Some(_) => Some(self.secret("WXAUTH_BRAKE").await?),
            None => None,
        };
        Ok(Brake { at_least: config::not_before(&self.vars)?, pulled })
    }

    /// The current private signing key.
    pub async fn signer(&self) -> Result<Arc<Secret<AccessSigner>>, ConfigError> {
        self.secret("WXAUTH_SIGNING_KEYS").await
    }

    /// What authenticates requests, by the public halves of all signing keys and the sessions in this table.
    pub async fn authenticator(&self, table: &Arc<DynamoTable>) -> Result<Authenticator, ConfigError> {
        let config = self.access_token_config()?;
        let (verifier, brake) = tokio::try_join!(self.secret("WXAUTH_JWKS"), self.brake())?;
        Ok(Authenticator { verifier, sessions: table.clone(), config, brake, clock: self.clock() })
    }

    /// The public halves of all signing keys, to be published.
    pub async fn jwks(&self) -> Result<Arc<Secret<PublicJwks>>, ConfigError> {
        self.secret("WXAUTH_JWKS").await
    }

    /// The secrets that `rotation` rotates: Secrets Manager names them in each event.
    pub fn rotated_secrets(&self) -> Result<Arc<SecretsManager>, ConfigError> {
        Ok(Arc::new(SecretsManager(self.secrets_manager()?)))
    }

    /// The secret that `rotation` writes the public half to.
    pub fn public_half(&self) -> Result<Arc<WrittenSecret>, ConfigError> {
        let expected = "the name or ARN of a secret";
        let id = self.vars.required("WXAUTH_JWKS", expected)?.to_owned();
        if id.starts_with("file:") {
            return Err(ConfigError::new("WXAUTH_JWKS", format!("{expected}: what rotation writes is read on AWS")));
        }
        Ok(Arc::new(WrittenSecret { client: self.secrets_manager()?, id }))
    }

    /// The kind of new signing keys.
    pub fn signing_algorithm(&self) -> Result<KeyKind, ConfigError> {
        config::signing_algorithm(&self.vars)
    }

    async fn secret<T: FromSecret>(&self, variable: &'static str) -> Result<Arc<Secret<T>>, ConfigError> {
        let expected = "the name or ARN of a secret, or file:PATH";
        let name = self.vars.required(variable, expected)?;
        let source: Box<dyn ReadSecret> = match name.strip_prefix("file:") {
            Some("") => return Err(ConfigError::new(variable, expected)),
            Some(path) => Box::new(SecretFile(path.into())),
            None => Box::new(ManagedSecret { client: self.secrets_manager()?, id: name.to_owned() }),
        };
        Secret::open(variable, source, self.clock()).await
    }

    fn secrets_manager(&self) -> Result<aws_sdk_secretsmanager::Client, ConfigError> {
        let mut config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(self.region()?)
            .credentials_provider(self.credentials()?)
            .http_client(self.aws_http.clone())
            .retry_config(retries())
            .retry_partition(budget())
            .timeout_config(timeouts(Duration::from_millis(900), Duration::from_millis(1_900)));
        config.set_endpoint_url(self.endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER")?);
        Ok(aws_sdk_secretsmanager::Client::from_conf(config.build()))
    }

    fn region(&self) -> Result<Region, ConfigError> {
        let region = self.vars.get("AWS_REGION").or_else(|| self.vars.get("AWS_DEFAULT_REGION"));
        let region =
            region.ok_or_else(|| ConfigError::new("AWS_REGION", "set to the region of the table and secrets"))?;
        Ok(Region::new(region.to_owned()))
    }

    /// Lambda puts a role's credentials into the environment and replaces the process before they end.
    fn credentials(&self) -> Result<SharedCredentialsProvider, ConfigError> {
        Ok(SharedCredentialsProvider::new(self.role()?))
    }

    fn role(&self) -> Result<Credentials, ConfigError> {
        let expected = "the credentials of the function's role, as Lambda sets them";
        let id = self.vars.required("AWS_ACCESS_KEY_ID", expected)?;
        let secret = self.vars.required("AWS_SECRET_ACCESS_KEY", expected)?;
        let token = self.vars.get("AWS_SESSION_TOKEN").map(str::to_owned);
        Ok(Credentials::new(id, secret, token, None, "environment"))
    }

    fn endpoint(&self, variable: &str) -> Result<Option<String>, ConfigError> {
        let given = [variable, "AWS_ENDPOINT_URL"].into_iter().find_map(|name| Some((name, self.vars.get(name)?)));
        let Some((name, url)) = given else { return Ok(None) };
        match Url::parse(url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(Some(url.to_owned())),
            _ => Err(ConfigError::new(name, "the URL of an endpoint, such as http://127.0.0.1:8000")),
        }
    }
}

/// Retries of the AWS clients. The SDK's own first back-off would be a second.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(25))
        .with_max_backoff(Duration::from_millis(200))
}

/// A retry budget for each client. The SDK lets all clients of a process share one; where several functions run in one
/// process, the failures of one would keep the others from trying again.
fn budget() -> RetryPartition {
    RetryPartition::custom("wxauth").build()
}

/// Time limits, because the SDK has none of its own for an attempt or an operation.
fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(500))
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation)
        .build()
}
