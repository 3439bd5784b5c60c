# What GitLab makes of gitlab.rb: config/initializers/smtp_settings.rb.
require "action_mailer"

gitlab_rails = {}
eval(File.read("gitlab.rb"))
gitlab_rails["smtp_enable"] or exit(3)
ActionMailer::Base.delivery_method = :smtp
ActionMailer::Base.smtp_settings = {
  address: gitlab_rails["smtp_address"],
  port: gitlab_rails["smtp_port"],
  user_name: gitlab_rails["smtp_user_name"],
  password: gitlab_rails["smtp_password"],
  authentication: gitlab_rails["smtp_authentication"].to_sym,
  enable_starttls_auto: gitlab_rails["smtp_enable_starttls_auto"],
  tls: gitlab_rails["smtp_tls"],
  openssl_verify_mode: gitlab_rails["smtp_openssl_verify_mode"]
}
ActionMailer::Base.mail(from: gitlab_rails["gitlab_email_from"], to: ARGV[0],
                        subject: "A test mail", body: "It works.").deliver_now
